#!/bin/bash
set -euo pipefail

patch -p0 <<'PATCH'
--- tally.c
+++ tally.c
@@ -43,6 +43,8 @@
 
     if (!slot->word) {
-        if (++used * 4 > capacity * 3)
+        if (++used * 4 > capacity * 3) {
             grow();
+            slot = lookup(word);
+        }
         slot->word = strdup(word);
     }
@@ -61,11 +63,14 @@
 int main(void)
 {
-    char word[32];
+    size_t size = 32;
+    char *word = malloc(size);
     size_t length = 0, total = 0, filled = 0;
-    char c;
+    int c;
 
     slots = calloc(capacity, sizeof *slots);
     do {
         c = getchar();
+        if (length + 1 == size)
+            word = realloc(word, size *= 2);
         if (isalpha(c) || c == '\'') {
             word[length++] = tolower(c);
@@ -84,5 +89,6 @@
     for (size_t i = 0; i < filled; i++)
         printf("%7zu %s\n", slots[i].count, slots[i].word);
-    printf("%zu words, %zu distinct, %zu on average\n", total, used, total / used);
+    printf("%zu words, %zu distinct, %zu on average\n", total, used,
+           used ? total / used : 0);
     return 0;
 }
PATCH
gcc -O2 -Wall -Wextra -Werror -o tally tally.c
