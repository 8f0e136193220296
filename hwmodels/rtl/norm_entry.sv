// A lane of the norm unit's pass 1: the element in 16 bits under its row's exponent, and its square.
// norm_lanes.entry_step.
module norm_entry (
    input  logic               clk,
    input  logic signed [15:0] code,
    input  logic signed  [7:0] exponent,
    input  logic signed  [7:0] row_exponent,
    input  logic         [3:0] spare,         // bits that a code leaves of a word
    output logic signed [15:0] word,
    output logic signed [31:0] square
);
  // 1: aligned; the row's exponent is the largest, so that nothing leaves the word
  logic signed  [9:0] shift;
  logic signed [30:0] aligned;
  assign shift = 10'(exponent) - 10'(row_exponent) + $signed({6'b0, spare});
  scale #(.WX(16), .WS(10), .LIMIT(32), .LONGEST_LEFT(15)) u_align (.x(code), .s(shift), .y(aligned));
  always_ff @(posedge clk) word <= aligned[15:0];

  // 2: squared
  logic signed [31:0] squared;
  multiplier #(.WA(16), .WB(16)) u_square (.a(word), .b(word), .p(squared));
  always_ff @(posedge clk) square <= squared;

  logic unused;
  assign unused = ^aligned[30:16];
endmodule
