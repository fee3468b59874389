#include <stdio.h>

int main(void)
{
    puts("Dinner is served.");
    return 0;
}
