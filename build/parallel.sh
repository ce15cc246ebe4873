# Commands beside each other, as many as there are cores. To be sourced: beside COMMAND ARGUMENTS…, then all_done. The first that fails ends the script.
running=0
beside() {
    "$@" & running=$((running + 1))
    if [ "$running" -ge "$(nproc)" ]; then wait -n || exit 1; running=$((running - 1)); fi
}
all_done() { while [ "$running" -gt 0 ]; do wait -n || exit 1; running=$((running - 1)); done; }
