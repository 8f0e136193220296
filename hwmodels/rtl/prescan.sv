// The prescan: LANES lanes, each with an output of its own: prescan.step. The bounds leave with the last segment.
module prescan #(
    parameter int LANES         = 64,
    parameter int EXPONENT_BITS = 8,
    parameter int WORD          = EXPONENT_BITS + 2
) (
    input  logic                           clk,
    input  logic                           valid,
    input  logic                           first,
    input  logic                           last,
    input  logic          [LANES*WORD-1:0] floor,
    input  logic [LANES*EXPONENT_BITS-1:0] row,
    input  logic [LANES*EXPONENT_BITS-1:0] column,
    output logic                           done,
    output logic          [LANES*WORD-1:0] bound
);
  assign done = valid & last;
  for (genvar i = 0; i < LANES; i++) begin : lane
    prescan_lane #(.EXPONENT_BITS(EXPONENT_BITS)) u (
        .clk(clk),
        .valid(valid),
        .first(first),
        .floor(floor[i*WORD+:WORD]),
        .row(row[i*EXPONENT_BITS+:EXPONENT_BITS]),
        .column(column[i*EXPONENT_BITS+:EXPONENT_BITS]),
        .joined(bound[i*WORD+:WORD])
    );
  end
endmodule
