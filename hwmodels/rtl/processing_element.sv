// One element of a weight- or input-stationary array: units.processing_element. Codes pass from left to
// right, partial sums and the codes to hold from top to bottom; `total` is the sum before its register.
module processing_element #(
    parameter int MOVING_BITS     = 8,
    parameter int HELD_BITS       = 8,
    parameter int MOVING_EXPONENT = 0,  // of these, an exponent's bits, see element_product
    parameter int HELD_EXPONENT   = 0,
    parameter int PRODUCT_BITS    = MOVING_BITS + HELD_BITS,
    parameter int DROPPED         = 0,
    parameter int WINDOW_ROUNDING = 0,
    parameter int SUM_BITS        = 22,
    parameter int CHAINS          = 1,
    parameter bit OVERLAP         = 1'b1
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

  logic signed [PRODUCT_BITS-1:0] product;
  element_product #(
      .WA(MOVING_BITS), .WB(HELD_BITS), .EA(MOVING_EXPONENT), .EB(HELD_EXPONENT), .PRODUCT_BITS(PRODUCT_BITS),
      .DROPPED(DROPPED), .ROUNDING(WINDOW_ROUNDING)
  ) u_product (
      .a(code), .b(factor), .p(product)
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
