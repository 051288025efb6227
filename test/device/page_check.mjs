// Uses the page as a person would, in headless Chromium; prints what was seen as JSON.
//   node page_check.mjs FOLDER_OF_PLAYWRIGHT CHROMIUM URL WAV MODEL SCREENSHOT
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [modules, executablePath, url, wav, model, screenshot] = process.argv.slice(2);
const { chromium } = createRequire(resolve(modules, "package.json"))("playwright-core");
const args = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"];
const browser = await chromium.launch({ executablePath, args: [...args, `--use-file-for-fake-audio-capture=${wav}`] });
const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
const seen = { problems: [] };
await page.addInitScript(() => {
  // What a microphone delivers comes a little late, also behind its end.
  const own = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
  const set = function (hear) {
    this.hear = hear;
    own.set.call(this, (event) => setTimeout(() => this.hear?.(event), 300));
  };
  Object.defineProperty(MessagePort.prototype, "onmessage", { set });
});
page.on("pageerror", (error) => seen.problems.push(error.message));
page.on("console", (message) => message.type() === "error" && seen.problems.push(message.text()));
page.on("request", (request) => new URL(request.url()).origin === new URL(url).origin || seen.problems.push(request.url()));
const status = (text) => page.getByRole("status").filter({ hasText: text }).waitFor({ timeout: 60000 });
const heard = () => page.locator("#heard p").allTextContents();

try {
  await page.goto(url);
  await status("Ready.");
  seen.loaded = await page.locator("#loaded").textContent();
  await page.getByLabel("Audio file").setInputFiles(wav);
  await page.locator("#heard p").first().waitFor({ timeout: 60000 });
  await status("Ready.");
  seen.file = await heard();
  seen.rows = await page.locator("#words tr").evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
  seen.rtf = await page.locator("#rtf").textContent();
  seen.delay = await page.locator("#delay").textContent();
  seen.wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });

  // By keyboard alone: to the first button, on, and off.
  await page.locator("body").press("Tab");
  seen.focus = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.press("Enter");
  await status("Listening.");
  await page.getByRole("button", { name: "Stop microphone" }).waitFor();
  const growing = page.locator("#growing");
  await page.waitForFunction(() => document.getElementById("growing").textContent.split(" ").length > 3, null, { timeout: 60000 });
  seen.growing = await growing.textContent();
  await page.waitForTimeout(3000);
  await page.keyboard.press("Enter");
  await status("Ready.");
  seen.microphone = (await heard()).slice(seen.file.length);

  await page.getByLabel("Model file").setInputFiles({ name: "bad.dmdl", mimeType: "", buffer: Buffer.from("no model") });
  await status("Error: it is too short for a header");
  // What was there before it stays, and says when it is ready again.
  await page.getByLabel("Audio file").setInputFiles(wav);
  await status("Ready.");
  seen.again = (await heard()).at(-1);

  // A microphone that is unplugged: what was heard is finished, and the page says so.
  await page.evaluate(() => {
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await open(wanted));
  });
  const lines = (await heard()).length;
  await page.getByRole("button", { name: "Start microphone" }).click();
  await status("Listening.");
  await page.waitForFunction(() => document.getElementById("growing").textContent.split(" ").length > 1, null, { timeout: 60000 });
  await page.evaluate(() => window.stream.getTracks()[0].dispatchEvent(new Event("ended")));
  await status("Error: the microphone is gone");
  await page.locator("#heard p").nth(lines).waitFor();
  await page.getByRole("button", { name: "Start microphone" }).waitFor();
  await page.waitForFunction(() => !document.getElementById("file").disabled);

  // A model file that was deleted behind its back: the model before stays.
  await page.evaluate(() => {
    const read = File.prototype.arrayBuffer;
    File.prototype.arrayBuffer = () => ((File.prototype.arrayBuffer = read), Promise.reject(new DOMException("gone", "NotReadableError")));
  });
  await page.getByLabel("Model file").setInputFiles(model);
  await status("Error: sparse.dmdl cannot be read.");
  seen.chosen = await page.getByLabel("Model file").inputValue();
  seen.usable = await page.getByRole("button", { name: "Start microphone" }).isEnabled();

  // One sound at a time: neither a file while the browser asks about the microphone, nor a model while a file is decoded.
  const off = (...ids) => page.evaluate((all) => all.every((id) => document.getElementById(id).disabled), ids);
  await page.evaluate(() => {
    const open = navigator.mediaDevices.getUserMedia;
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      await new Promise((allow) => (window.allow = allow));
      navigator.mediaDevices.getUserMedia = open;
      return (window.stream = await open(wanted));
    };
  });
  await page.getByRole("button", { name: "Start microphone" }).click();
  seen.asking = await off("file", "model");
  await page.evaluate(() => window.allow());
  await status("Listening.");
  await page.getByRole("button", { name: "Stop microphone" }).click();
  await status("Ready.");
  await page.waitForFunction(() => !document.getElementById("file").disabled);
  await page.evaluate(() => {
    const decode = OfflineAudioContext.prototype.decodeAudioData;
    OfflineAudioContext.prototype.decodeAudioData = async function (bytes) {
      await new Promise((go) => (window.go = go));
      OfflineAudioContext.prototype.decodeAudioData = decode;
      return decode.call(this, bytes);
    };
  });
  await page.getByLabel("Audio file").setInputFiles(wav);
  await page.waitForFunction(() => window.go);
  seen.decoding = await off("file", "model", "microphone");
  await page.evaluate(() => window.go());
  await status("Ready.");
  seen.alone = (await heard()).at(-1);

  // No sound can be taken from the microphone: it is given back.
  await page.evaluate(() => {
    window.AudioContext = class {
      constructor() {
        throw new Error("no more contexts");
      }
    };
  });
  await page.getByRole("button", { name: "Start microphone" }).click();
  await status("Error: the microphone cannot be used: no more contexts");
  seen.tracks = await page.evaluate(() => window.stream.getTracks().map((track) => track.readyState));

  // As in a page without HTTPS.
  await page.evaluate(() => Object.defineProperty(navigator, "mediaDevices", { value: undefined }));
  await page.getByRole("button", { name: "Start microphone" }).click();
  await status("Error: the microphone cannot be used: browsers give it to pages by HTTPS or from localhost only");
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
