// What each tool does, as a function: its own program calls it, and the one program
// that holds all of them.
#ifndef TENON_TOOLS_TENON_MAINS_H
#define TENON_TOOLS_TENON_MAINS_H

namespace tenon {

/// Each takes what `main` takes and returns the exit code.
int compileMain(int argc, char **argv);
int inspectMain(int argc, char **argv);
int optMain(int argc, char **argv);
int runMain(int argc, char **argv);

} // namespace tenon

#endif // TENON_TOOLS_TENON_MAINS_H
