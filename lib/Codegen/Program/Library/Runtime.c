// Functions that the code generator may ask for of itself; a kernel library
// links nothing. Built without builtins, so that none calls itself.

typedef unsigned long size_t;
#define HIDDEN __attribute__((visibility("hidden")))

/// Bytes that are moved at once, wherever they lie.
#define CHUNK(name, size)                                                      \
  typedef char name __attribute__((vector_size(size), aligned(1), may_alias))
CHUNK(Bytes32, 32);
CHUNK(Bytes16, 16);
CHUNK(Bytes8, 8);
CHUNK(Bytes4, 4);
CHUNK(Bytes2, 2);

/// From here on the processor's own loop is faster, in spite of its start.
enum { kLong = 2048 };

static void copyLong(void *to, const void *from, size_t n) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

/// Between one and two chunks, which may overlap.
#define COPY_ENDS(type)                                                        \
  if (n >= sizeof(type)) {                                                     \
    type first = *(const type *)source;                                        \
    type last = *(const type *)(source + n - sizeof(type));                    \
    *(type *)target = first;                                                   \
    *(type *)(target + n - sizeof(type)) = last;                               \
    return to;                                                                 \
  }

HIDDEN void *memcpy(void *restrict to, const void *restrict from, size_t n) {
  char *target = to;
  const char *source = from;
  if (n >= kLong) {
    copyLong(to, from, n);
    return to;
  }
  if (n >= 32) {
    for (size_t i = 0; i + 32 < n; i += 32)
      *(Bytes32 *)(target + i) = *(const Bytes32 *)(source + i);
    *(Bytes32 *)(target + n - 32) = *(const Bytes32 *)(source + n - 32);
    return to;
  }
  COPY_ENDS(Bytes16)
  COPY_ENDS(Bytes8)
  COPY_ENDS(Bytes4)
  COPY_ENDS(Bytes2)
  if (n)
    *target = *source;
  return to;
}

HIDDEN void *memset(void *to, int value, size_t n) {
  char *target = to;
  if (n >= 32 && n < kLong) {
    Bytes32 many = (Bytes32){} + (char)value;
    for (size_t i = 0; i + 32 < n; i += 32)
      *(Bytes32 *)(target + i) = many;
    *(Bytes32 *)(target + n - 32) = many;
    return to;
  }
  void *result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return result;
}

HIDDEN void *memmove(void *to, const void *from, size_t n) {
  char *target = to;
  const char *source = from;
  if (target <= source || target >= source + n) {
    copyLong(to, from, n); // forwards, byte by byte
    return to;
  }
  while (n--) {
    target[n] = source[n];
    __asm__ volatile("" : : : "memory");
  }
  return to;
}

/// To f32 with the last bit odd if inexact, so that the next rounding is the
/// only one that counts.
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
