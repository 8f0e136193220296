// The encoder: LANES lanes, a tree over what their searches have found, and what steers their stages, all as in
// the requantizer. Blocks of 2**level lanes lie side by side; a wider one takes several cycles.
module encoder #(
    parameter int LANES         = 64,
    parameter bit MERGED        = 1'b1,
    parameter int LATENCY       = 4,
    parameter int BITS          = 8,
    parameter int STORED_BITS   = 3,
    parameter bit HIDDEN        = 1'b1,
    parameter int LARGEST       = 126,
    parameter int FRACTION      = 11,
    parameter bit GEOMETRIC     = 1'b0,
    parameter bit SIGNED        = 1'b1,
    parameter bit ROOTS         = 1'b0,
    parameter int FORM          = 13,
    parameter int REACH         = 14,
    parameter int SUM_BITS      = 48,
    parameter int EXPONENT_BITS = 10,
    parameter int RANK_BITS     = 12,
    parameter int LEVELS        = $clog2(LANES),
    parameter int LEVEL_BITS    = LEVELS == 0 ? 1 : $clog2(LEVELS + 1)
) (
    input  logic                           clk,
    input  logic                           rst,
    input  logic                           convert,
    input  logic      [LANES*SUM_BITS-1:0] sum,
    input  logic [LANES*EXPONENT_BITS-1:0] exponent,
    input  logic     [LANES*RANK_BITS-1:0] top,
    input  logic                           own,
    input  logic                           anchored,
    input  logic signed              [7:0] anchor,
    input  logic                           search,
    input  logic                           first,
    input  logic          [LEVEL_BITS-1:0] level,
    input  logic      [LANES*SUM_BITS-1:0] written_sum,
    input  logic [LANES*EXPONENT_BITS-1:0] written_exponent,
    output logic                           found,
    output logic     [LANES*RANK_BITS-1:0] found_top,
    output logic                           done,
    output logic          [LANES*BITS-1:0] code,
    output logic               [LANES-1:0] saturated,
    output logic             [LANES*8-1:0] stored,
    output logic               [LANES-1:0] clamped
);
  // stages of the search, each with what it needs to know
  logic searching[3], ranked, first_1;
  logic [LEVEL_BITS-1:0] levels[2], tapped;
  logic [LANES*RANK_BITS-1:0] peaks, joined;
  for (genvar i = 0; i < 3; i++) begin : search_stage
    always_ff @(posedge clk) searching[i] <= ~rst & (i == 0 ? search : searching[i==0?0:i-1]);
  end
  always_ff @(posedge clk) begin
    first_1   <= first;
    levels[0] <= level;
    if (ranked) levels[1] <= levels[0];
  end
  assign tapped = levels[1];
  requantizer_tree #(.LANES(LANES), .W(RANK_BITS)) u_tree (.x(peaks), .level(tapped), .largest(joined));
  logic signed [RANK_BITS-1:0] tops[LANES];
  for (genvar i = 0; i < LANES; i++) begin : top_of
    always_ff @(posedge clk) tops[i] <= joined[i*RANK_BITS+:RANK_BITS];
    assign found_top[i*RANK_BITS+:RANK_BITS] = tops[i];
  end
  assign ranked = searching[0];
  assign found  = searching[2];

  // stages of pass 2
  logic busy[LATENCY], own_1, anchored_1, anchored_2;
  logic signed [7:0] anchor_1, anchor_2;
  for (genvar i = 0; i < LATENCY; i++) begin : stage
    always_ff @(posedge clk) busy[i] <= ~rst & (i == 0 ? convert : busy[i==0?0:i-1]);
  end
  always_ff @(posedge clk) begin
    own_1      <= own;
    anchored_1 <= anchored;
    anchored_2 <= anchored_1;
    anchor_1   <= anchor;
    anchor_2   <= anchor_1;
  end
  assign done = busy[LATENCY-1];

  for (genvar i = 0; i < LANES; i++) begin : lane
    encoder_lane #(
        .MERGED(MERGED), .LATENCY(LATENCY), .BITS(BITS), .STORED_BITS(STORED_BITS), .HIDDEN(HIDDEN),
        .LARGEST(LARGEST), .FRACTION(FRACTION), .GEOMETRIC(GEOMETRIC), .SIGNED(SIGNED), .ROOTS(ROOTS), .FORM(FORM),
        .REACH(REACH), .SUM_BITS(SUM_BITS), .EXPONENT_BITS(EXPONENT_BITS), .RANK_BITS(RANK_BITS)
    ) u (
        .clk(clk),
        .sum(sum[i*SUM_BITS+:SUM_BITS]),
        .exponent(exponent[i*EXPONENT_BITS+:EXPONENT_BITS]),
        .written_sum(written_sum[i*SUM_BITS+:SUM_BITS]),
        .written_exponent(written_exponent[i*EXPONENT_BITS+:EXPONENT_BITS]),
        .ranked(ranked),
        .first(first_1),
        .top(top[i*RANK_BITS+:RANK_BITS]),
        .own(own_1),
        .joined(joined[i*RANK_BITS+:RANK_BITS]),
        .anchored(anchored_2),
        .anchor(anchor_2),
        .peak(peaks[i*RANK_BITS+:RANK_BITS]),
        .code(code[i*BITS+:BITS]),
        .saturated(saturated[i]),
        .stored(stored[i*8+:8]),
        .clamped(clamped[i])
    );
  end
endmodule
