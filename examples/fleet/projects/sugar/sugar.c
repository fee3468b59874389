/* How many spoons of sugar belong to so many leaves of mint. */
int sugar_for(int leaves)
{
    return leaves / 4;
}
