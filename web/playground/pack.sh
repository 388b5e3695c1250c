#!/bin/sh
# Packs GraphQL Playground, as its authors built it, with our page into ../playground.zip, which is what the server embeds.
# It is not developed any more: there will be no newer version.
set -e
cd "$(dirname "$0")"
rm -rf dist && mkdir dist && cd dist
npm pack --silent graphql-playground-react@1.7.28 >/dev/null
echo 'b5cabc0c073071c6b90b29289f105fb403e3401a726ac5fc7832f118b6b87854  graphql-playground-react-1.7.28.tgz' | sha256sum --quiet -c -
tar xzf graphql-playground-react-1.7.28.tgz
cp ../index.html ../start.js package/build/static/js/middleware.js package/build/static/css/middleware.css .
rm -rf package *.tgz
cd .. && go run ../pack dist ../playground.zip
