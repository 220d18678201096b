#include "geo.h"
#include "num.h"

double geo_distance(double x, double y)
{
    return num_root(num_square(x) + num_square(y)) * UNITS_PER_METRE;
}
