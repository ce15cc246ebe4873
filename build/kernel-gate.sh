#!/usr/bin/env bash
# Checks every kernel with the real compiler, for sm_80 and sm_90a (kernels/sm90 for the latter alone): no spill,
# no stack, no serialised wgmma (ptxas C75xx), no more registers than build/kernel-registers.csv allows. In the SASS:
# no local memory, no floating-point atomics, no non-coherent loads, nothing before a kernel's wait for the one before
# it; tensor cores, asynchronous copies and 16-byte accesses where they are expected. For Hopper's kernels it also
# checks the main loop, the division of the registers (hopper-sass.awk) and the place of the tensor maps; for update's
# kernels, the warps that a multiprocessor holds.
#   kernel-gate.sh            checks       kernel-gate.sh --update    writes the table again
set -uo pipefail
cd "$(dirname "$0")/.."
source build/parallel.sh
nvcc=$(bash build/find-nvcc.sh)
[ -n "$nvcc" ] || { echo "kernel gate: no nvcc on this machine; build/install-nvcc.sh installs it" >&2; exit 1; }
cuobjdump=$(dirname "$nvcc")/cuobjdump; [ -x "$cuobjdump" ] || cuobjdump=$(dirname "$nvcc")/usr/bin/cuobjdump
export PATH=$(dirname "$nvcc")/usr/bin:$PATH
table=build/kernel-registers.csv update=${1:-} failures=0
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
fail() { echo "kernel gate: $*" >&2; failures=$((failures + 1)); }

# judge_hopper PRODUCT KEEP TAKE: a stage of the main loop has 128 bytes of K, a product 32; KEEP and TAKE are the
# operands of setmaxnreg.
judge_hopper() {
    local registers line
    needs 'UTMALDG.*MULTICAST' "no load by TMA for both blocks of a cluster"
    registers=$(awk -F, -v k="$name" '$1 == k { print $3 }' "$out.rows")
    awk -v kernel="$name" -v product="$1" -v products=4 -v keep="$2" -v take="$3" -v registers="$registers" \
        -f build/hopper-sass.awk "$out.sass" > "$out.hopper" || fault "hopper-sass.awk failed"
    while read -r line; do fault "$line"; done < "$out.hopper"
    # The parameters, which begin with the tensor maps, lie in constant bank 0, at the base of EIATTR_PARAM_CBANK plus
    # the offset of EIATTR_KPARAM_INFO.
    line=$("$cuobjdump" -elf "$out.cubin" | awk -v kernel="$name" '
        /^\.nv\.info/ { inside = $1 == ".nv.info." kernel }
        inside && /Ordinal : 0x0/ { sub(/.*Offset *: */, ""); offset = $1 }
        inside && /EIATTR_PARAM_CBANK/ { bank = 1 }
        inside && bank && /Value:/ { base = "0x" substr($3, length($3) - 3); bank = 0 }
        END { print base "+" offset }')
    case $line in 0x*+0x*) ;; *) fault "no place of the parameters in the cubin: $line"; return ;; esac
    [ $(((line) % 128)) -eq 0 ] || fault "the tensor maps begin at c[0x0][$line], not at a multiple of 128"
}

# judge_occupancy: a multiprocessor holds the warps of update's launch bounds and no more, because UpdateKernel.cs makes
# whole waves of them. It has four parts of 16,384 registers each, and a warp takes a multiple of 256.
judge_occupancy() {
    local kernel registers threads blocks
    while IFS=, read -r kernel _ registers _; do
        case $kernel in update_parts) continue ;; esac
        read -r threads blocks < <(sed -nE "s/^SAE_KERNEL\($kernel, \w+, ([0-9]+)(, ([0-9]+))?\).*/\1 \3/p" "$source")
        [ $((16384 / ((registers + 7) / 8 * 256) * 4 * 32)) -eq $((threads * ${blocks:-1})) ] ||
            fault "$kernel: $registers registers do not make the $threads × ${blocks:-1} threads of the launch bounds"
    done < "$out.rows"
}

# judge SOURCE ARCH: writes into work a line for each kernel (NAME.ARCH.rows) and for each fault (NAME.ARCH.faults)
judge() {
    local source=$1 arch=$2 name out
    name=$(basename "$source" .cu); out=$work/$name.$arch
    fault() { echo "$source, sm_$arch: $*" >> "$out.faults"; }
    needs() { grep -qE "$1" "$out.sass" || fault "$2"; }
    refuses() { ! grep -qE "$1" "$out.sass" || fault "$2"; }
    if ! "$nvcc" -std=c++17 -O3 -gencode="arch=compute_$arch,code=sm_$arch" -cubin -Xptxas -v \
        -o "$out.cubin" "$source" 2> "$out.log"; then
        cat "$out.log" >&2; fault "does not compile"; return
    fi
    grep -E 'C75(08|10|14|15)' "$out.log" >&2 && fault "ptxas serialised asynchronous products"
    # ptxas prints for each kernel: its name, its stack and spills, its registers.
    awk -v arch="sm_$arch" '
        /Compiling entry function/ { split($0, q, "\047"); kernel = q[2] }
        /bytes stack frame/ { stack = $1; spill = $5 + $9 }
        /Used [0-9]+ registers/ {
            for (i = 1; i < NF; i++) if ($i == "Used") print kernel "," arch "," $(i + 1) "," stack "," spill
        }' "$out.log" > "$out.rows"
    "$cuobjdump" -sass "$out.cubin" > "$out.sass" 2>/dev/null || fault "no SASS"
    refuses '\b(LDL|STL)\b' "local memory in the SASS"
    # The kernel before may still write when this one begins; a non-coherent load may then read an old cache line.
    refuses '\bLDG\.[A-Z0-9.]*CONSTANT' "a non-coherent global load"
    refuses '\b(ATOM|ATOMG|ATOMS|RED)\.[A-Z0-9.]*(F16|BF16|F32|F64)' \
        "a floating-point atomic, whose sum depends on the order"
    # A kernel may overlap the kernel before it (kernels/common.cuh): no access and no end may come before its wait.
    [ "$arch" = 80 ] || awk '
        function judge() { if (kernel != "" && !waited) print kernel " never waits for the kernel before it" }
        /Function : / { judge(); kernel = $NF; waited = 0 }
        / ACQBULK / { waited = 1 }
        kernel != "" && !waited && / (LD|LDG|LDS|ST|STG|STS|ATOM|ATOMG|ATOMS|RED|LDGSTS|UTMALDG|SYNCS|EXIT)[. ]/ {
            print kernel " does not begin with its wait for the kernel before it:" $0; waited = 1
        }
        END { judge() }' "$out.sass" | while read -r line; do fault "$line"; done
    case $name in
        encode_sm90 | encode_columns_sm90) judge_hopper HGMMA.64x256x16.F32.BF16 40 232 ;;
        screen_sm90) judge_hopper IGMMA.64x256x32.S8.S8 56 224 ;;
        *_sm90) fault "the gate has no numbers for this Hopper kernel" ;;
        update) judge_occupancy ;;
    esac
    case $name in screen) needs IMMA "no 8-bit tensor-core product" ;; esac
    case $name in encode | product | 0[6-9]_* | 10_*) needs HMMA "no tensor-core product" ;; esac
    case $name in encode | product | 0[89]_* | 10_*) needs LDGSTS "no asynchronous copy" ;; esac
    # The gathers and streams of the sparse half move 16 bytes at a time.
    case $name in
        decode) needs 'LDGSTS.*\.128' "no 16-byte copy"; needs 'LDS\.128' "no 16-byte load" ;;
        update) needs 'LDG\.E\.128' "no 16-byte load" ;;
    esac
    case $name in decode | update) needs 'STG\.E\.128' "no 16-byte store" ;; esac
}
for source in kernels/*.cu kernels/ladder/*.cu; do beside judge "$source" 80; beside judge "$source" 90a; done
for source in kernels/sm90/*.cu; do beside judge "$source" 90a; done
all_done
while read -r line; do fail "$line"; done < <(cat "$work"/*.faults 2>/dev/null)
cat "$work"/*.rows > "$work/rows"
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
