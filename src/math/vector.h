/*
** LM_VECTORIZED before a function: it is compiled twice, for any processor and
** for those with AVX2, and the better one is chosen when the program is loaded.
** Both do the same operations on every element in the same order, without
** fused multiply-add, so that they give the same bits.
*/
#ifndef LM_VECTOR_H
#define LM_VECTOR_H

/* Sanitizers can't look into the choice; elsewhere than with GCC and glibc there is none. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(LM_NO_CLONES)
#define LM_VECTORIZED __attribute__((target_clones("default", "avx2")))
#else
#define LM_VECTORIZED
#endif

#endif
