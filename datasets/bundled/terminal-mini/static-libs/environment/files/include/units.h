#ifndef UNITS_H
#define UNITS_H

/* Results are printed in these units per metre. */
#define UNITS_PER_METRE 1.0

#endif
