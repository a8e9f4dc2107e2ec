/** An error whose message is shown to the user and suggests what to do. */
export class Problem extends Error {}
