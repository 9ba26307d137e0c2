// Plays a scene of tests/page.rs: `node scenes.mjs NAME` fails if the scene does.

import * as mocked from './mocked.mjs';
import * as real from './real.mjs';
import { chromium } from './stage.mjs';

const name = process.argv[2], scene = mocked[name] ?? real[name];
let code = 0;
try {
  if (!scene) throw new Error(`there is no scene ${name}`);
  await scene();
} catch (error) {
  console.error(error);
  code = 1;
}
await chromium.close();
process.exit(code);
