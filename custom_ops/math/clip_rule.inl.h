// The clip rule of one entry (kernels/tiles/rows.inl.h has that of vectors), with c = clip(z):
//
//   y = min(max(d + (z - c), lo - c), hi - c)
//
// It is included beside what uses it, so that each instruction set compiles its own.

KRYPTON_DEVICE inline float ClipRuleScalar(float d, float z, float lo, float hi) {
  const float raised = lo > z ? lo : z;
  const float c = hi < raised ? hi : raised;
  const float moved = d + (z - c);
  const float bounded = lo - c > moved ? lo - c : moved;
  return hi - c < bounded ? hi - c : bounded;
}
