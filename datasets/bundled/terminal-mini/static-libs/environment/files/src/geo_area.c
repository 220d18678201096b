#include "geo.h"
#include "num.h"

double geo_ring_area(double outer, double inner)
{
    double width = num_root(num_square(outer) - num_square(inner));

    return 3.14159265358979 * num_square(width * UNITS_PER_METRE);
}
