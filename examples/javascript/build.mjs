// build.mjs SOURCE WIT-FOLDER OUT.wasm: makes a component of a program in JavaScript.
import { componentize } from '@bytecodealliance/componentize-js';
import { readFile, writeFile } from 'node:fs/promises';

const [source, witPath, output] = process.argv.slice(2);
const { component } = await componentize(await readFile(source, 'utf8'), {
  witPath,
  worldName: 'app',
  // What is not asked for is not imported either.
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(output, component);
