// One element of an array for codes with exponents of their own: units.window_element. Words, an exponent above
// a significand, pass from left to right, partial sums and the words to hold from top to bottom; `total` is the
// sum before its register.
module window_element #(
    parameter int WA          = 5,   // significands
    parameter int WB          = 5,
    parameter int EA          = 4,   // exponents; 0 is none
    parameter int EB          = 4,
    parameter int EXACT_BITS  = 37,
    parameter int DROPPED     = 0,
    parameter int ROUNDING    = 0,
    parameter int SUM_BITS    = 43,
    parameter int CHAINS      = 1,
    parameter bit OVERLAP     = 1'b1,
    parameter int MOVING_BITS = WA + EA,
    parameter int HELD_BITS   = WB + EB
) (
    input  logic                          clk,
    input  logic        [MOVING_BITS-1:0] code,
    input  logic             [CHAINS-1:0] on,
    input  logic                          swap,
    input  logic                          load,
    input  logic          [HELD_BITS-1:0] passed,
    input  logic    [CHAINS*SUM_BITS-1:0] sum,
    output logic        [MOVING_BITS-1:0] code_out,
    output logic             [CHAINS-1:0] on_out,
    output logic                          swap_out,
    output logic                          load_out,
    output logic          [HELD_BITS-1:0] passed_out,
    output logic    [CHAINS*SUM_BITS-1:0] sum_out,
    output logic    [CHAINS*SUM_BITS-1:0] total
);
  always_ff @(posedge clk) begin
    code_out   <= code;
    load_out   <= load;
    passed_out <= passed;
  end

  // the code that stays: from the shadow register with the first code of a fold, or as it comes
  logic [HELD_BITS-1:0] held, factor;
  if (OVERLAP) begin : shadow
    logic [HELD_BITS-1:0] following;
    logic swapping;
    always_ff @(posedge clk) begin
      swapping <= swap;
      if (load) following <= passed;
      held <= factor;
    end
    assign factor   = swap ? following : held;
    assign swap_out = swapping;
  end else begin : plain
    always_ff @(posedge clk) if (load) held <= passed;
    assign factor   = held;
    assign swap_out = 1'b0;
    logic unused;
    assign unused = swap;
  end

  localparam int FA = EA == 0 ? 1 : EA;
  localparam int FB = EB == 0 ? 1 : EB;
  logic [FA-1:0] exponent_a;
  logic [FB-1:0] exponent_b;
  logic signed [EXACT_BITS-DROPPED-1:0] product;
  assign exponent_a = FA'(code >> WA);
  assign exponent_b = FB'(factor >> WB);
  window_product #(
      .WA(WA), .WB(WB), .EA(FA), .EB(FB), .EXACT_BITS(EXACT_BITS), .DROPPED(DROPPED), .ROUNDING(ROUNDING)
  ) u_window (
      .significand_a(code[WA-1:0]), .exponent_a(exponent_a), .significand_b(factor[WB-1:0]), .exponent_b(exponent_b),
      .p(product)
  );

  logic ons[CHAINS];
  logic signed [SUM_BITS-1:0] sums[CHAINS];
  for (genvar i = 0; i < CHAINS; i++) begin : chain
    assign total[i*SUM_BITS+:SUM_BITS] = sum[i*SUM_BITS+:SUM_BITS] + (on[i] ? SUM_BITS'(product) : '0);
    always_ff @(posedge clk) begin
      ons[i]  <= on[i];
      sums[i] <= total[i*SUM_BITS+:SUM_BITS];
    end
    assign on_out[i] = ons[i];
    assign sum_out[i*SUM_BITS+:SUM_BITS] = sums[i];
  end
endmodule
