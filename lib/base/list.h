/* An intrusive, circular, doubly linked list. A head is a node that stands in no
 * element; an unlinked node points at itself. */
#ifndef OST_BASE_LIST_H
#define OST_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ost_list {
    struct ost_list *next, *prev;
};

/* The struct that holds a member, from a pointer to that member. */
#define OST_CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Walk a list; the current node may be removed meanwhile, no other. */
#define OST_LIST_EACH(node, following, head) \
    for (node = (head)->next; following = node->next, node != (head); node = following)

static inline void ost_list_init(struct ost_list *node)
{
    node->next = node->prev = node;
}

static inline bool ost_list_is_empty(const struct ost_list *head)
{
    return head->next == head;
}

static inline void ost_list_append(struct ost_list *head, struct ost_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Unlink node; a node that is in no list is left as it is. */
static inline void ost_list_remove(struct ost_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    ost_list_init(node);
}

/* Unlink and return the first node, or NULL. */
static inline struct ost_list *ost_list_take(struct ost_list *head)
{
    struct ost_list *node = head->next;

    if (node == head)
        return NULL;
    /* The analyser does not see that a removed node is no longer in the list. */
    ost_list_remove(node); /* NOLINT(clang-analyzer-unix.Malloc) */
    return node;
}

#endif
