#ifndef GEO_H
#define GEO_H

#include "units.h"

double geo_distance(double x, double y);
double geo_ring_area(double outer, double inner);

/* Prints the message and ends the program with status 3. */
void geo_fail(const char *message);

#endif
