#include <stdio.h>

int main(void)
{
    puts("one spoon");
    return 0;
}
