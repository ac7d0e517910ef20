// Ballots from the server, and votes to it; the token of the link goes with each.
"use strict";

const token = new URLSearchParams(location.search).get("token") || "";

async function posted(path, content) {
  let response;
  try {
    const headers = { "Content-Type": "application/json", "X-Token": token };
    response = await fetch(path, { method: "POST", headers, body: JSON.stringify(content) });
  } catch {
    throw { wait: true }; // nobody answers: the server is being started again, or the network is away
  }
  if (response.status === 429 || response.status >= 500) throw { wait: true };
  const found = await response.json();
  if (!response.ok) throw new Error(found.error);
  return found;
}

const source = {
  begin: (voter) => posted("next", { voter }),
  vote: (voter, ballot, answers, seconds) => posted("vote", { voter, ballot: ballot.id, answers, seconds }),
};
