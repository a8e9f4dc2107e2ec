/** Something that went wrong, said so that whoever uses the page understands it and knows what to do. */
export class Problem extends Error {}
