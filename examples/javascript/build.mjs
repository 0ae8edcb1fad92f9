// build.mjs SOURCE WIT-FOLDER OUT.wasm: builds a component from a program in JavaScript.
import { componentize } from '@bytecodealliance/componentize-js';
import { readFile, writeFile } from 'node:fs/promises';

const [source, witPath, output] = process.argv.slice(2);
const { component } = await componentize(await readFile(source, 'utf8'), {
  witPath,
  worldName: 'app',
  // The component does not import what these features need.
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(output, component);
