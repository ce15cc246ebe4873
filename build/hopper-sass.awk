# Facts about the machine code of a kernel with producer and consumer warpgroups: the products of its main loop, and the
# division of the registers. Prints a line a fault.
#   awk -v kernel=NAME -v product=HGMMA.64x256x16.F32.BF16 -v products=4 \
#       -v keep=40 -v take=232 -v registers=168 -f hopper-sass.awk FILE
# FILE: what cuobjdump -sass prints.
# product, products: the instruction of a stage of the main loop, and how many of them a stage has.
# keep, take: registers of a thread after setmaxnreg, in the producing warpgroup and in the two consuming ones.
# registers: of a thread at the launch.

function hex(digits,    i, value) {
    value = 0
    for (i = 1; i <= length(digits); ++i) value = 16 * value + index("0123456789abcdef", substr(digits, i, 1)) - 1
    return value
}

function fault(text) { print kernel ": " text }

/Function : / { inside = $NF == kernel; next }
inside && match($0, /^ *\/\*[0-9a-f]+\*\//) {
    address = substr($0, RSTART, RLENGTH); gsub(/[^0-9a-f]/, "", address)
    line = substr($0, RSTART + RLENGTH); sub(/;.*/, "", line); gsub(/^ +| +$/, "", line)
    code[++count] = line; at[hex(address)] = count
    operation[count] = line; sub(/^@!?U?P[0-9T]+ +/, "", operation[count])
}

# The products stand between one WARPGROUP.ARRIVE and the wait for the group before, without a branch. Each adds to its
# own registers.
function check_products(    i, found, stage, sums, begun, done) {
    for (i = 1; i <= count; ++i) {
        if (operation[i] ~ /^WARPGROUP\.ARRIVE/) {
            if (begun++) fault("more than one group of products")
            stage = 1
        } else if (operation[i] ~ /^WARPGROUP\.DEPBAR\.LE gsb0, 0x1/ && stage) {
            stage = 0; done = 1
        } else if (stage && operation[i] ~ /^BRA/) fault("a branch among the products: " code[i])
        if (operation[i] !~ /^[A-Z]*GMMA/) continue
        ++found
        if (!stage) fault("a product outside the main loop: " code[i])
        if (index(code[i], product " ") != 1) fault("not a product of " product ": " code[i])
        split(code[i], operand, /[ ,]+/)        # name, sums, descriptors, addend; a predicate or gsb0 may follow
        if (sums == "") sums = operand[2]
        if (operand[2] != sums || operand[4] != sums || (operand[5] != "" && operand[5] != "gsb0"))
            fault("a product that does not add to its sums: " code[i])
    }
    if (found != products) fault(found + 0 " products, not " products)
    if (!done) fault("no wait for the group of products before")
}

# The instructions that a warp may come to from instruction `first` on, into reached.
function walk(first,    todo, next_one, i, target) {
    split("", reached)
    todo[next_one = 1] = first
    while (next_one > 0) {
        i = todo[next_one--]
        if (i < 1 || i > count || (i in reached)) continue
        reached[i] = 1
        if (operation[i] ~ /^(BRX|JMX|JMP|CALL\.ABS)/) fault("a jump that this check does not follow: " code[i])
        if (operation[i] ~ /^(BRA|CALL|BSSY|WARPSYNC\.COLLECTIVE)/ && match(operation[i], /0x[0-9a-f]+/)) {
            target = hex(substr(operation[i], RSTART + 2, RLENGTH - 2))
            if (!(target in at)) fault("a branch to no instruction: " code[i])
            else todo[++next_one] = at[target]
        }
        if (code[i] !~ /^(BRA 0x|EXIT|RET)/) todo[++next_one] = i + 1
    }
}

# The highest register that instruction i names.
function highest(i,    words, n, w, more, top, number, outside) {
    top = -1
    outside = operation[i]; gsub(/\[[^]]*\]/, "", outside)
    more = outside ~ /GMMA/ ? 127 : outside ~ /^[A-Z.0-9]*\.128/ ? 3 : outside ~ /^[A-Z.0-9]*\.(64|WIDE)/ ? 1 : 0
    n = split(outside, words, /[^A-Za-z0-9_.]+/)
    for (w = 2; w <= n; ++w)
        if (words[w] ~ /^R[0-9]+/) {
            number = int(substr(words[w], 2)) + (words[w] ~ /\.64/ ? 1 : more)
            if (number > top) top = number
            if (more == 127) more = 0
        }
    n = split(operation[i], words, /[^A-Za-z0-9_.]+/)       # addresses
    for (w = 2; w <= n; ++w)
        if (words[w] ~ /^R[0-9]+/) {
            number = int(substr(words[w], 2)) + (words[w] ~ /\.64/ ? 1 : 0)
            if (number > top) top = number
        }
    return top
}

# One setmaxnreg of each kind, with the expected number, and no register beyond it behind.
function check_split(name, count_expected,    i, found, value, top, where) {
    for (i = 1; i <= count; ++i) {
        if (index(operation[i], name) != 1) continue
        ++found
        match(operation[i], /0x[0-9a-f]+/); value = hex(substr(operation[i], RSTART + 2, RLENGTH - 2))
        if (value != count_expected) fault(name " " value ", not " count_expected)
        walk(i + 1)
        top = -1
        for (where in reached) if (highest(where) > top) top = highest(where)
        if (top >= value) fault("R" top " behind " name " " value)
    }
    if (found != 1) fault(found + 0 " instructions " name ", not 1")
}

END {
    if (!count) fault("not found")
    check_products()
    check_split("USETMAXREG.DEALLOC", keep)
    check_split("USETMAXREG.TRY_ALLOC", take)
    if (keep + 2 * take > 3 * registers)
        fault(keep " and twice " take " registers exceed the launch's: three warpgroups with " registers " each")
}
