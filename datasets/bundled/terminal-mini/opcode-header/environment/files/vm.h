/* Runs a program of opcodes and operands. */
void run(const int *code, int length);

/* Prints the name of every opcode with its number. */
void list(void);

/* Turns a word into its opcode, or -1. */
int lookup(const char *word);
