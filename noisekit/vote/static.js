// Ballots from `sheets`, drawn ahead; votes stay in this browser until their voter saves them as a file.
"use strict";

const kept = (voter) => `votes ${Object.values(sheets)[0][0].id} ${voter}`;
const given = (voter) => JSON.parse(localStorage.getItem(kept(voter)) || "{}");

function following(voter) {
  if (!Object.hasOwn(sheets, voter)) throw new Error(`There is no sheet for the code ${voter}; ask for yours.`);
  const done = given(voter), sheet = sheets[voter];
  const ballot = sheet.find(({ id }) => !Object.hasOwn(done, id)) || null;
  return { ballot, done: Object.keys(done).length, of: sheet.length };
}

const source = {
  begin: async (voter) => following(voter),
  vote: async (voter, ballot, answers, seconds) => {
    const done = given(voter);
    if (!Object.hasOwn(done, ballot.id)) done[ballot.id] = { answers, seconds };
    localStorage.setItem(kept(voter), JSON.stringify(done));
    return following(voter);
  },
  file: (voter, link) => {
    const lines = Object.entries(given(voter)).flatMap(([ballot, { answers, seconds }]) =>
      Object.entries(answers).map(([question, answer]) => JSON.stringify({ ballot, voter, question, answer, seconds }) + "\n"));
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob(lines, { type: "application/x-ndjson" }));
    link.download = `votes-${voter}.jsonl`;
    link.parentElement.hidden = !lines.length;
  },
  thanks: "Save your votes as a file, and send it to whoever asked you.",
};
