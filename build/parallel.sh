# Runs commands in parallel, one for each core. Source this file, call beside COMMAND ARGUMENTS…, and then all_done. The
# first failure ends the script.
running=0
beside() {
    "$@" & running=$((running + 1))
    if [ "$running" -ge "$(nproc)" ]; then wait -n || exit 1; running=$((running - 1)); fi
}
all_done() { while [ "$running" -gt 0 ]; do wait -n || exit 1; running=$((running - 1)); done; }
