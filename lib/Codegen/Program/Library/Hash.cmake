# Writes the hash of INPUT into the header OUTPUT.
file(SHA256 ${INPUT} hash)
file(WRITE ${OUTPUT} "// ${hash}\n")
