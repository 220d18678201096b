#include <math.h>

#include "geo.h"
#include "num.h"

double num_root(double value)
{
    if (value < 0)
        geo_fail("square root of a negative number");
    return sqrt(value);
}
