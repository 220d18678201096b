#include <stdio.h>
#include <stdlib.h>

#include "geo.h"

void geo_fail(const char *message)
{
    fprintf(stderr, "geocalc: %s\n", message);
    exit(3);
}
