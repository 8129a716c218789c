#include "tools/tenon/Mains.h"

int main(int argc, char **argv) { return tenon::compileMain(argc, argv); }
