#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo.h"

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: geocalc distance|ring A B\n");
        return 2;
    }
    double a = atof(argv[2]), b = atof(argv[3]);
    int ring = strcmp(argv[1], "ring") == 0;

    printf("%.3f\n", ring ? geo_ring_area(a, b) : geo_distance(a, b));
    return 0;
}
