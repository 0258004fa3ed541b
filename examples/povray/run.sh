#!/bin/sh
# Renders bloom.pov on the farm at FARMQUEUE_URL and makes a video of it.
# Usage: run.sh [DIRECTORY]; every agent must see the directory, and have povray and ffmpeg.
set -eu

scene=$(cd "$(dirname "$0")" && pwd)/bloom.pov
mkdir -p "${1:-demo-result/bloom}"
out=$(cd "${1:-demo-result/bloom}" && pwd)
frames=72

for queue in /films /films/bloom; do
    said=$(farmqueue queue create "$queue" 2>&1) || {
        code=$?
        [ $code -eq 4 ] || { echo "$said" >&2; exit $code; } # 4: it is there already
    }
done

# One povray for each batch; it renders frames +SF to +EF of the whole, on one core.
render=$(farmqueue submit "Bloom, frames" --queue /films/bloom --frames "1-$frames" --batch 6 \
    --per batch --ram 128 -- \
    povray "+I$scene" "+O$out/frame_.png" +W480 +H270 +A0.2 -D -V +WT1 \
    +KFI1 "+KFF$frames" +KC "+SF{first}" "+EF{last}")

video=$(farmqueue submit "Bloom, video" --queue /films/bloom --parent "$render" -- \
    ffmpeg -y -loglevel error -framerate 24 -i "$out/frame_%02d.png" \
    -c:v libx264 -crf 18 -pix_fmt yuv420p "$out/bloom.mp4")

farmqueue watch "$render" "$video"
echo "The video: ${1:-demo-result/bloom}/bloom.mp4"
