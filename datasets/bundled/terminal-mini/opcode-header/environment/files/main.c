#include <stdlib.h>
#include <string.h>

#include "vm.h"

int main(int argc, char **argv)
{
    int code[64], length = 0;

    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list();
        return 0;
    }
    for (int i = 1; i < argc && length < 64; i++) {
        int opcode = lookup(argv[i]);

        code[length++] = opcode >= 0 ? opcode : atoi(argv[i]);
    }
    run(code, length);
    return 0;
}
