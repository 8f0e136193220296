// One element of an array whose operands are so narrow that it takes several: units.packed_element. DEPTH
// codes come along the reduction, whose products are added at once, and WIDTH are held along the outputs.
module packed_element #(
    parameter int MOVING_BITS     = 4,                          // of one code
    parameter int HELD_BITS       = 4,
    parameter int MOVING_EXPONENT = 0,                          // see element_product
    parameter int HELD_EXPONENT   = 0,
    parameter int PRODUCT_BITS    = MOVING_BITS + HELD_BITS,
    parameter int DROPPED         = 0,
    parameter int WINDOW_ROUNDING = 0,
    parameter int SUM_BITS        = 15,
    parameter int DEPTH           = 2,
    parameter int WIDTH           = 1,
    parameter int CHAINS          = 1,                          // sums of each output
    parameter bit OVERLAP         = 1'b1,
    parameter int CODES           = DEPTH * MOVING_BITS,
    parameter int ONS             = DEPTH * CHAINS,
    parameter int PASSED          = WIDTH * DEPTH * HELD_BITS,  // output by output
    parameter int SUMS            = WIDTH * CHAINS * SUM_BITS
) (
    input  logic              clk,
    input  logic  [CODES-1:0] code,
    input  logic    [ONS-1:0] on,
    input  logic              swap,
    input  logic              load,
    input  logic [PASSED-1:0] passed,
    input  logic   [SUMS-1:0] sum,
    output logic  [CODES-1:0] code_out,
    output logic    [ONS-1:0] on_out,
    output logic              swap_out,
    output logic              load_out,
    output logic [PASSED-1:0] passed_out,
    output logic   [SUMS-1:0] sum_out,
    output logic   [SUMS-1:0] total
);
  always_ff @(posedge clk) load_out <= load;

  // on to the right
  logic [MOVING_BITS-1:0] codes[DEPTH];
  logic ons[ONS];
  for (genvar d = 0; d < DEPTH; d++) begin : moving
    always_ff @(posedge clk) codes[d] <= code[d*MOVING_BITS+:MOVING_BITS];
    assign code_out[d*MOVING_BITS+:MOVING_BITS] = codes[d];
  end
  for (genvar i = 0; i < ONS; i++) begin : switch
    always_ff @(posedge clk) ons[i] <= on[i];
    assign on_out[i] = ons[i];
  end

  // the codes that stay: from the shadow register with the first codes of a fold, or as they come
  logic [HELD_BITS-1:0] passes[WIDTH*DEPTH], held[WIDTH*DEPTH];
  logic [PASSED-1:0] factors;
  for (genvar h = 0; h < WIDTH * DEPTH; h++) begin : staying
    always_ff @(posedge clk) passes[h] <= passed[h*HELD_BITS+:HELD_BITS];
    assign passed_out[h*HELD_BITS+:HELD_BITS] = passes[h];
  end
  if (OVERLAP) begin : shadow
    logic swapping;
    logic [HELD_BITS-1:0] following[WIDTH*DEPTH];
    always_ff @(posedge clk) swapping <= swap;
    for (genvar h = 0; h < WIDTH * DEPTH; h++) begin : code
      always_ff @(posedge clk) begin
        if (load) following[h] <= passed[h*HELD_BITS+:HELD_BITS];
        held[h] <= factors[h*HELD_BITS+:HELD_BITS];
      end
      assign factors[h*HELD_BITS+:HELD_BITS] = swap ? following[h] : held[h];
    end
    assign swap_out = swapping;
  end else begin : plain
    for (genvar h = 0; h < WIDTH * DEPTH; h++) begin : code
      always_ff @(posedge clk) if (load) held[h] <= passed[h*HELD_BITS+:HELD_BITS];
      assign factors[h*HELD_BITS+:HELD_BITS] = held[h];
    end
    assign swap_out = 1'b0;
    logic unused;
    assign unused = swap;
  end

  // each output's products, and its sums
  logic signed [SUM_BITS-1:0] sums[WIDTH*CHAINS];
  for (genvar j = 0; j < WIDTH; j++) begin : result
    logic [DEPTH*SUM_BITS-1:0] products;
    for (genvar d = 0; d < DEPTH; d++) begin : at
      logic signed [PRODUCT_BITS-1:0] product;
      element_product #(
          .WA(MOVING_BITS), .WB(HELD_BITS), .EA(MOVING_EXPONENT), .EB(HELD_EXPONENT),
          .PRODUCT_BITS(PRODUCT_BITS), .DROPPED(DROPPED), .ROUNDING(WINDOW_ROUNDING)
      ) u (
          .a(code[d*MOVING_BITS+:MOVING_BITS]), .b(factors[(j*DEPTH+d)*HELD_BITS+:HELD_BITS]), .p(product)
      );
      assign products[d*SUM_BITS+:SUM_BITS] = SUM_BITS'(product);
    end
    for (genvar i = 0; i < CHAINS; i++) begin : chain
      localparam int Own = j * CHAINS + i;
      logic [(DEPTH+1)*SUM_BITS-1:0] added;
      assign added[SUM_BITS-1:0] = sum[Own*SUM_BITS+:SUM_BITS];
      for (genvar d = 0; d < DEPTH; d++) begin : at
        assign added[(d+1)*SUM_BITS+:SUM_BITS] = added[d*SUM_BITS+:SUM_BITS]
            + (on[d*CHAINS+i] ? products[d*SUM_BITS+:SUM_BITS] : '0);
      end
      assign total[Own*SUM_BITS+:SUM_BITS] = added[DEPTH*SUM_BITS+:SUM_BITS];
      always_ff @(posedge clk) sums[Own] <= total[Own*SUM_BITS+:SUM_BITS];
      assign sum_out[Own*SUM_BITS+:SUM_BITS] = sums[Own];
    end
  end
endmodule
