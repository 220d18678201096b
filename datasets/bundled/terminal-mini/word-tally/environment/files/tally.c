/* tally: counts the words of standard input, most frequent first. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct slot {
    char *word;
    size_t count;
};

static struct slot *slots;
static size_t capacity = 64, used;

/* The slot of a word, or the free slot where it belongs. */
static struct slot *lookup(const char *word)
{
    size_t hash = 2166136261u;

    for (const char *p = word; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    while (slots[hash % capacity].word && strcmp(slots[hash % capacity].word, word))
        hash++;
    return &slots[hash % capacity];
}

static void grow(void)
{
    struct slot *old = slots;
    size_t old_capacity = capacity;

    capacity *= 2;
    slots = calloc(capacity, sizeof *slots);
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].word)
            *lookup(old[i].word) = old[i];
    free(old);
}

static void count(const char *word)
{
    struct slot *slot = lookup(word);

    if (!slot->word) {
        if (++used * 4 > capacity * 3)
            grow();
        slot->word = strdup(word);
    }
    slot->count++;
}

static int by_count(const void *left, const void *right)
{
    const struct slot *a = left, *b = right;

    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return strcmp(a->word, b->word);
}

int main(void)
{
    char word[32];
    size_t length = 0, total = 0, filled = 0;
    char c;

    slots = calloc(capacity, sizeof *slots);
    do {
        c = getchar();
        if (isalpha(c) || c == '\'') {
            word[length++] = tolower(c);
        } else if (length > 0) {
            word[length] = '\0';
            count(word);
            total++;
            length = 0;
        }
    } while (c != EOF);

    for (size_t i = 0; i < capacity; i++)
        if (slots[i].word)
            slots[filled++] = slots[i];
    qsort(slots, filled, sizeof *slots, by_count);
    for (size_t i = 0; i < filled; i++)
        printf("%7zu %s\n", slots[i].count, slots[i].word);
    printf("%zu words, %zu distinct, %zu on average\n", total, used, total / used);
    return 0;
}
