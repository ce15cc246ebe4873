#!/usr/bin/env bash
# Trains dictionaries of Fashion-MNIST's pixels and of a classifier's hidden layers, and makes all their figures. It
# takes about five minutes on two cores.
#   fashion.sh [OUT]     default OUT: runs/fashion
# CUDASAE names a program that replaces the one built from this checkout.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-runs/fashion}
cudasae=${CUDASAE:-dotnet run -c Release --project src/CudaSae.Cli --}
build/fetch-fashion-mnist.sh
data=artifacts/fashion-mnist
train=$data/train-images-idx3-ubyte.gz; train_labels=$data/train-labels-idx1-ubyte.gz
test=$data/t10k-images-idx3-ubyte.gz; test_labels=$data/t10k-labels-idx1-ubyte.gz
names="T-shirt,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
mkdir -p "$out"
# A finished run is not repeated.
sae() {
    local run=$1; shift
    [ -f "$out/$run/sae_weights.safetensors" ] || $cudasae train "$@" --latents 1024 --batch-rows 256 \
        --vectors 245760 --out "$out/$run"
}

# Pixels
for k in 8 16 64; do sae "pixels-topk$k" "$train" --held-out "$test" --k "$k" --learning-rate 0.002; done
sae pixels-relu "$train" --held-out "$test" --preset april-2024 --coefficient 4
$cudasae images "$out/pixels-topk16" "$out/pixels-topk8" "$out/pixels-topk64" "$out/pixels-relu" \
    --labels "$test_labels" --classes "$names"

# A classifier, and its hidden layers
model=$out/classifier.safetensors
$cudasae harvest classifier --images "$train" --labels "$train_labels" --model "$model" --epochs 8 \
    --out "$out/train.npy"
$cudasae harvest classifier --images "$test" --labels "$test_labels" --model "$model" --out "$out/test.npy"
for site in hidden1 hidden2; do
    for k in 2 8 32; do
        sae "$site-topk$k" "$out/train.$site.npy" --held-out "$out/test.$site.npy" --k "$k" --learning-rate 0.002
    done
    $cudasae images "$out/$site-topk8" "$out/$site-topk2" "$out/$site-topk32" --data "$test" \
        --labels "$test_labels" --classes "$names" --classifier "$model" --site "$site"
done
