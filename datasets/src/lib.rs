//! Every on-disk format timeslip reads or writes, and the bundled tasks.
