// A memory with one read and one write port: sram.step. What is read arrives in the next cycle and stays
// until the next read. A word that is read and written in one cycle is read as it was before.
module sram_1r1w #(
    parameter int WORDS   = 256,
    parameter int BITS    = 32,
    parameter int ADDRESS = WORDS > 1 ? $clog2(WORDS) : 1
) (
    input  logic                   clk,
    input  logic                   read,
    input  logic     [ADDRESS-1:0] read_address,
    input  logic                   write,
    input  logic     [ADDRESS-1:0] write_address,
    input  logic signed [BITS-1:0] write_word,
    output logic signed [BITS-1:0] word
);
  logic signed [BITS-1:0] store[WORDS];
  always_ff @(posedge clk) begin
    if (write) store[write_address] <= write_word;
    if (read) word <= store[read_address];
  end
endmodule
