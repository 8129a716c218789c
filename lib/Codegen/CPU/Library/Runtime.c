// Functions that the code generator may ask for of itself; a kernel library
// links nothing. Built without builtins, so that none calls itself.

typedef unsigned long size_t;
#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN void *memcpy(void *restrict to, const void *restrict from, size_t n) {
  void *result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return result;
}

HIDDEN void *memset(void *to, int value, size_t n) {
  void *result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return result;
}

HIDDEN void *memmove(void *to, const void *from, size_t n) {
  char *target = to;
  const char *source = from;
  if (target <= source || target >= source + n)
    return memcpy(to, from, n);
  while (n--) {
    target[n] = source[n];
    __asm__ volatile("" : : : "memory");
  }
  return to;
}

/// To f32 with the last bit odd if inexact, so that the next rounding is the only
/// one that counts.
static float roundToOdd(double x) {
  float near = (float)x;
  double back = near;
  unsigned bits;
  __builtin_memcpy(&bits, &near, 4);
  if (back != x && x == x && !(bits & 1))
    bits += __builtin_fabs(back) > __builtin_fabs(x) ? -1u : 1u;
  __builtin_memcpy(&near, &bits, 4);
  return near;
}

HIDDEN _Float16 __truncdfhf2(double x) { return (_Float16)roundToOdd(x); }

/// Rounds to the nearest, ties to even; what is no number stays none.
HIDDEN __bf16 __truncsfbf2(float x) {
  unsigned bits;
  __builtin_memcpy(&bits, &x, 4);
  bits = x == x ? bits + 0x7fff + (bits >> 16 & 1) : bits | 1u << 22;
  unsigned short high = bits >> 16;
  __bf16 result;
  __builtin_memcpy(&result, &high, 2);
  return result;
}

HIDDEN __bf16 __truncdfbf2(double x) { return __truncsfbf2(roundToOdd(x)); }
