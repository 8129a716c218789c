// Who adds what to the table of lowerings. Only the table includes it, so that
// a new entry does not rebuild every lowering.

#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_LOWERINGTABLES_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_LOWERINGTABLES_H

#include "Lowering.h"

namespace tenon {

void addAffineGridLowerings(LoweringTable &table);
void addCausalConvolutionLowerings(LoweringTable &table);
void addDeterminantLowerings(LoweringTable &table);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_LOWERINGTABLES_H
