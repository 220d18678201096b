#include "num.h"

double num_square(double value)
{
    return value * value;
}
