#!/usr/bin/env bash
# The real compiler's judgement of every kernel, for sm_80 and sm_90a (kernels/sm90 for the latter alone): no spill, no stack, no serialised wgmma (ptxas C75xx), no more registers than
# build/kernel-registers.csv allows, no local memory and no floating-point atomics in the SASS, tensor cores, asynchronous copies and 16-byte accesses where they belong.
#   kernel-gate.sh            check        kernel-gate.sh --update    write the table anew
set -uo pipefail
cd "$(dirname "$0")/.."
nvcc=$(bash build/find-nvcc.sh)
[ -n "$nvcc" ] || { echo "kernel gate: no nvcc on this machine; build/install-nvcc.sh puts one in \$HOME/.cache" >&2; exit 1; }
cuobjdump=$(dirname "$nvcc")/cuobjdump; [ -x "$cuobjdump" ] || cuobjdump=$(dirname "$nvcc")/usr/bin/cuobjdump
export PATH=$(dirname "$nvcc")/usr/bin:$PATH
table=build/kernel-registers.csv update=${1:-} failures=0
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
fail() { echo "kernel gate: $*" >&2; failures=$((failures + 1)); }

for source in kernels/*.cu kernels/sm90/*.cu kernels/ladder/*.cu; do
    name=$(basename "$source" .cu) archs="80 90a"
    [[ $source == kernels/sm90/* ]] && archs=90a
    for arch in $archs; do
        "$nvcc" -std=c++17 -O3 -gencode="arch=compute_$arch,code=sm_$arch" -cubin -Xptxas -v -o "$work/$name.$arch.cubin" "$source" 2> "$work/log" ||
            { cat "$work/log" >&2; fail "$source does not compile for sm_$arch"; continue; }
        grep -E 'C75(08|10|14|15)' "$work/log" >&2 && fail "$source, sm_$arch: ptxas gave up on asynchronous products"
        # ptxas prints for each kernel: its name, its stack and spills, its registers.
        awk -v arch="sm_$arch" '
            /Compiling entry function/ { split($0, q, "\047"); kernel = q[2] }
            /bytes stack frame/ { stack = $1; spill = $5 + $9 }
            /Used [0-9]+ registers/ { for (i = 1; i < NF; i++) if ($i == "Used") print kernel "," arch "," $(i + 1) "," stack "," spill }' "$work/log" >> "$work/rows"
        "$cuobjdump" -sass "$work/$name.$arch.cubin" > "$work/sass" 2>/dev/null || fail "$source, sm_$arch: no SASS"
        grep -qE '\b(LDL|STL)\b' "$work/sass" && fail "$source, sm_$arch: local memory in the SASS"
        grep -qE '\b(ATOM|ATOMG|ATOMS|RED)\.[A-Z0-9.]*(F16|BF16|F32|F64)' "$work/sass" && fail "$source, sm_$arch: a floating-point atomic, whose sum depends on the order"
        case $name in encode_sm90 | encode_columns_sm90)
            grep -q HGMMA "$work/sass" || fail "$source: no product by a warpgroup"
            grep -q UTMALDG "$work/sass" || fail "$source: no load by TMA"
            grep -q 'UTMALDG.*MULTICAST' "$work/sass" || fail "$source: no load for both blocks of a cluster"
        esac
        if [ "$name" = screen ]; then grep -q IMMA "$work/sass" || fail "$source, sm_$arch: no 8-bit tensor-core product"; fi
        case $name in encode | product | 0[6-9]_* | 10_*) grep -q HMMA "$work/sass" || fail "$source, sm_$arch: no tensor-core product" ;; esac
        case $name in encode | product | 0[89]_* | 10_*) grep -q LDGSTS "$work/sass" || fail "$source, sm_$arch: no asynchronous copy" ;; esac
        # The gathers and streams of the sparse half move 16 bytes at a time.
        case $name in decode) wide='LDGSTS.*\.128 LDS\.128 STG\.E\.128' ;; update) wide='LDG\.E\.128 STG\.E\.128' ;; *) wide= ;; esac
        for instruction in $wide; do grep -qE "\b$instruction" "$work/sass" || fail "$source, sm_$arch: no $instruction"; done
    done
done
sort "$work/rows" > "$work/sorted"
if [ "$update" = --update ]; then { echo "kernel,arch,registers,stack,spill"; cat "$work/sorted"; } > "$table"; fi
while IFS=, read -r kernel arch registers stack spill; do
    allowed=$(awk -F, -v k="$kernel" -v a="$arch" '$1 == k && $2 == a { print $3 }' "$table" 2>/dev/null)
    [ "$stack" = 0 ] || fail "$kernel, $arch: $stack bytes of stack"
    [ "$spill" = 0 ] || fail "$kernel, $arch: $spill bytes spilled"
    if [ -z "$allowed" ]; then fail "$kernel, $arch is not in $table; run build/kernel-gate.sh --update"
    elif [ "$registers" -gt "$allowed" ]; then fail "$kernel, $arch: $registers registers, $table allows $allowed"; fi
    printf '%-24s %-7s %4s registers  %s stack  %s spilled\n' "$kernel" "$arch" "$registers" "$stack" "$spill"
done < "$work/sorted"
echo "kernel gate: $(wc -l < "$work/sorted") kernels × architectures, $failures failures"
[ "$failures" -eq 0 ]
