#ifndef NUM_H
#define NUM_H

/* Square root; a negative number is an error. */
double num_root(double value);
double num_square(double value);

#endif
