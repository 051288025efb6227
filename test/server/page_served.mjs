// Uses the page of a server as a person would, in headless Chromium; prints what was seen as JSON.
//   node page_served.mjs FOLDER_OF_PLAYWRIGHT CHROMIUM URL TOKEN WAV PROCESS_OF_THE_SERVER
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [modules, executablePath, url, token, wav, server] = process.argv.slice(2);
const { chromium } = createRequire(resolve(modules, "package.json"))("playwright-core");
const args = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"];
const browser = await chromium.launch({ executablePath, args: [...args, `--use-file-for-fake-audio-capture=${wav}`] });
const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
const page = await context.newPage();
const seen = { problems: [] };
let expected = true; // whether problems are none
page.on("pageerror", (error) => seen.problems.push(error.message));
page.on("console", (message) => message.type() === "error" && expected && seen.problems.push(message.text()));
page.on("request", (request) => new URL(request.url()).origin === new URL(url).origin || seen.problems.push(request.url()));
const status = (text) => page.getByRole("status").filter({ hasText: text }).waitFor({ timeout: 60000 });
const hear = async (count) => {
  await page.getByLabel("Audio file").setInputFiles(wav);
  await page.locator("#heard p").nth(count - 1).waitFor({ timeout: 60000 });
};
const lines = () =>
  page.locator("#heard p").evaluateAll((all) =>
    all.map((line) => {
      const without = (name) => {
        const copy = line.cloneNode(true);
        copy.querySelectorAll(`${name}, .spoken`).forEach((one) => one.remove());
        return copy.textContent.split(" ").filter(Boolean).join(" ");
      };
      return { first: without("ins"), second: without("del"), pass: line.dataset.pass ?? "first", said: line.textContent };
    }),
  );
const second = (count) => page.locator('#heard p[data-pass="second"]').nth(count - 1).waitFor({ timeout: 60000 });

try {
  expected = false;
  await page.goto(url);
  await status("This server asks for its token.");
  await page.getByLabel("Token").fill("wrong, but long enough");
  await page.getByLabel("Token").blur();
  await status("the token is missing, or another one is wanted");
  await page.goto("about:blank");
  expected = true;
  await page.goto(`${url}page/#token=${token}`);
  await status("Ready.");
  seen.address = page.url();
  await hear(1);
  await second(1);
  await status("Ready.");
  seen.wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);

  // By keyboard: to the switch, and on.
  await page.getByLabel("The dense half hears").focus();
  await page.keyboard.press("Tab");
  seen.focus = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.press("Space");
  seen.told = await page.locator("#where").textContent();
  await hear(2);
  await second(2);
  await status("Ready.");
  await page.getByRole("button", { name: "Start microphone" }).click();
  await page.waitForFunction(() => document.getElementById("growing").textContent.length > 3, null, { timeout: 60000 });
  await page.getByRole("button", { name: "Stop microphone" }).click();
  await status("Ready.");
  seen.delay = await page.locator("#delay").textContent();
  seen.lines = await lines();

  // A server that stops says so, and the microphone is off.
  expected = false;
  await page.getByRole("button", { name: "Start microphone" }).click();
  await page.waitForFunction(() => document.getElementById("growing").textContent.length > 3, null, { timeout: 60000 });
  process.kill(Number(server));
  await status("Error: the server ended the stream: it is being stopped");
  await page.getByRole("button", { name: "Start microphone" }).waitFor();
  while (await fetch(url).catch(() => null)) await page.waitForTimeout(100);

  // Without the server the first pass goes on.
  const before = (await lines()).length;
  await page.getByRole("switch").uncheck();
  await hear(before + 1);
  await status("The first pass stays");
  seen.offline = (await lines()).at(-1);
  await page.getByRole("switch").check();
  await page.getByLabel("Audio file").setInputFiles(wav);
  await status("Error: the server cannot be reached");

  // Nor does a page that is loaded again need it.
  await page.reload();
  await status("Ready.");
  await hear(1);
  seen.again = (await lines())[0];
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
